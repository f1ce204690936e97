"""Every figure that the README quotes, as a script: see README.md beside this file."""
