"""What each table promises: one module a layer, one pandera class a table."""
