// Runs before the first paint, so that a dark page does not flash white.
try {
  const theme = localStorage.getItem('ombor.theme')
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme
} catch {
  // Storage is off: the system's preference holds.
}
