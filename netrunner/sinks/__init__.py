"""Built-in log sinks; they import only what a third party may."""
