"""Networks only: no files, no logging, no devices chosen here."""
