"""Built-in providers; they import only what a third party may."""
