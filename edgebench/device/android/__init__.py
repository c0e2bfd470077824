"""Android devices."""

# The one folder of an Android phone that a shell may write to and execute from, and edgebench's in it.
FOLDER = "/data/local/tmp/edgebench"
