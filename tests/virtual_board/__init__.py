"""A board on this machine: a real sshd, and what a Jetson or another Linux board would say and do."""
