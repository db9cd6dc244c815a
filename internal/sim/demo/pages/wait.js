(() => {
  const journey = document.getElementById('wait').dataset.journey;
  const done = (id, yes) => document.getElementById(id).classList.toggle('done', yes);
  const ask = async () => {
    try {
      const answer = await fetch('/demo/status?journey=' + encodeURIComponent(journey), {cache: 'no-store'});
      const now = await answer.json();
      if (now.over || answer.status === 404) {
        location.reload();
        return;
      }
      done('delivered', now.delivery === 'sent' || now.delivery === 'delivered');
      done('clicked', now.clicked);
    } catch {
      // The server may be starting again; the next one will tell.
    }
    setTimeout(ask, 1000);
  };
  setTimeout(ask, 300);
})();
