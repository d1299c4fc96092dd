// Runs before the first paint, so that neither the theme nor what only scripts can do flashes.
"use strict";

document.documentElement.dataset.scripted = "";
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
  }
} catch {
  // Storage may be forbidden; the system's theme it is, then.
}
