"""Everything that makes a model; the codec itself never imports it."""
