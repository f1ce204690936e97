"""Generated from protos/sindbad/v1 by scripts/genproto.sh; never edited."""
