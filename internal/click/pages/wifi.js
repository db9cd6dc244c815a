(() => {
  const form = document.getElementById('off');
  const left = document.getElementById('left');
  const ends = Date.now() + 1000 * left.dataset.seconds;
  let asking = false, over = false;
  document.getElementById('watch').hidden = false;
  for (const f of document.forms) f.addEventListener('submit', () => { over = true; });

  const words = ms => {
    const n = Math.round(ms / 60000);
    return ms < 60000 ? 'less than a minute' : n === 1 ? '1 more minute' : n + ' more minutes';
  };
  const look = async () => {
    if (over || asking || document.visibilityState !== 'visible') return;
    const ms = ends - Date.now();
    if (ms <= 0) {
      over = true;
      location.replace(form.action);
      return;
    }
    if (left.textContent !== words(ms)) left.textContent = words(ms);
    asking = true;
    // While a phone changes networks, requests fail or hang; the next one will do.
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(), 5000);
    try {
      const answer = await fetch(form.action + '/network', {cache: 'no-store', signal: stop.signal});
      if (answer.ok && (await answer.json()).cellular && !over) {
        over = true;
        form.submit();
      }
    } catch {
    } finally {
      clearTimeout(late);
      asking = false;
    }
  };
  setInterval(look, 2000);
  document.addEventListener('visibilitychange', look);
})();
