(() => {
  const {number, seq} = document.getElementById('phone').dataset;
  const thread = document.getElementById('thread');
  const signal = document.getElementById('signal');
  const radios = document.querySelectorAll('#networks input');
  const names = {cellular: '5G', 'other-sim': '5G, another SIM', wifi: 'Wi-Fi'};
  const scroll = () => { thread.scrollTop = thread.scrollHeight; };
  scroll();

  const stream = new EventSource('/phone/events?number=' + encodeURIComponent(number) + '&after=' + seq);
  stream.addEventListener('message', e => {
    document.getElementById('empty').hidden = true;
    // The server rendered it from its own template; the text in it is escaped.
    thread.insertAdjacentHTML('beforeend', JSON.parse(e.data).html);
    thread.lastElementChild.classList.add('fresh');
    scroll();
  });
  stream.addEventListener('network', e => {
    const now = JSON.parse(e.data).network;
    signal.textContent = names[now];
    for (const r of radios) r.checked = r.value === now;
  });
  stream.addEventListener('elsewhere', e => {
    const to = JSON.parse(e.data);
    const hint = document.getElementById('elsewhere');
    hint.firstChild.data = 'A text arrived for ' + to.pretty + '. ';
    hint.querySelector('a').href = '/phone?number=' + encodeURIComponent(to.number);
    hint.hidden = false;
  });
  for (const r of radios) r.addEventListener('change', () => fetch('/phone/network', {
    method: 'PUT', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({number, network: r.value}),
  }));
})();
