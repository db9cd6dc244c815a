(() => {
  // A page that is loaded ahead of time, unseen, must not confirm anything.
  const go = () => {
    if (document.visibilityState !== 'visible' || document.prerendering) return;
    document.removeEventListener('visibilitychange', go);
    document.getElementById('continue').submit();
  };
  document.addEventListener('visibilitychange', go);
  go();
})();
