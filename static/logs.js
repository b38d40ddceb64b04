// Follows a log: appends lines as they come, stops when the reader scrolls up, keeps 5,000.
'use strict';
(() => {
  const list = document.getElementById('log');
  if (!list || !list.dataset.follow) return;
  const MOST = 5000;
  const button = document.getElementById('log-follow'), state = document.getElementById('log-state');
  const told = state.textContent;
  let following = true, waiting = [], frame = 0;
  const atEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const toEnd = () => { list.scrollTop = list.scrollHeight; };
  const show = (on) => {
    following = on;
    button.setAttribute('aria-pressed', String(on));
    button.textContent = on ? button.dataset.on : button.dataset.off;
    if (on) flush();
  };
  const flush = () => {
    frame = 0;
    if (!following || !waiting.length) return;
    const none = document.getElementById('log-none');
    if (none) none.remove();
    list.insertAdjacentHTML('beforeend', waiting.join(''));
    waiting = [];
    while (list.children.length > MOST) list.firstElementChild.remove();
    toEnd();
  };
  button.addEventListener('click', () => show(!following));
  list.addEventListener('scroll', () => { if (following && !atEnd()) show(false); else if (!following && atEnd()) show(true); });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'f' && !event.target.closest('input, textarea, select')) show(!following);
  });
  const stream = new EventSource(list.dataset.follow);
  stream.addEventListener('lines', (event) => {
    waiting.push(event.data);
    if (waiting.length > MOST) waiting.splice(0, waiting.length - MOST);
    if (!frame) frame = requestAnimationFrame(flush);
  });
  stream.onopen = () => { state.dataset.state = ''; state.textContent = told; };
  stream.onerror = () => { state.dataset.state = 'stale'; state.textContent = state.dataset.lost; };
  addEventListener('pagehide', () => stream.close());
  toEnd();
})();
