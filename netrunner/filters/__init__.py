"""Built-in filters; they import only what a third party may."""
