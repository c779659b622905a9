"""How it is computed: one SELECT a file, `<layer>/<table>.sql`. Only data lives in this package."""
