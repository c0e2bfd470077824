"""PyTorch networks that timm and torchvision lack. Only the export imports this package."""
