if (self !== top) document.documentElement.classList.add('framed');
for (const a of document.querySelectorAll('nav a')) {
  if (a.getAttribute('href') === location.pathname) a.setAttribute('aria-current', 'page');
}
