"""`python -m vlae_codec` is the `vlae` command."""

from vlae_codec.cli import main

main(prog_name="vlae")
