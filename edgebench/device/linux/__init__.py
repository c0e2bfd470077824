"""Linux boards, and this machine."""
