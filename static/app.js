// Makes pages live and shorter. Nothing here is needed: every page and form works without it.
'use strict';
(() => {
  const doc = document, root = doc.documentElement, body = doc.body;
  const $ = (selector, from = doc) => from.querySelector(selector);
  const $$ = (selector, from = doc) => [...from.querySelectorAll(selector)];
  root.classList.add('js');

  // A polite voice for screen readers: milestones only.
  const voice = doc.createElement('div');
  voice.className = 'sr'; voice.setAttribute('role', 'status');
  body.append(voice);
  const say = (text) => { voice.textContent = ''; setTimeout(() => { voice.textContent = text; }, 30); };

  // Copy: the element's own value, or the commands of its block without their prompts.
  const textOf = (button) => {
    if (button.dataset.copy) return button.dataset.copy;
    const code = $('code', button.parentElement).cloneNode(true);
    $$('.p', code).forEach((prompt) => prompt.remove());
    return code.textContent.trim();
  };
  const copy = async (button) => {
    const text = textOf(button);
    try { await navigator.clipboard.writeText(text); }
    catch {
      const field = Object.assign(doc.createElement('textarea'), { value: text, className: 'sr' });
      body.append(field); field.select(); doc.execCommand('copy'); field.remove(); button.focus();
    }
    button.classList.add('copied');
    setTimeout(() => button.classList.remove('copied'), 1600);
    say(body.dataset.copied);
  };

  doc.addEventListener('click', (event) => {
    const button = event.target.closest('[data-copy]');
    if (button) { event.preventDefault(); copy(button); return; }
    // An open menu closes when something else is clicked.
    $$('details.menu[open]').forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });

  // Theme: the same form, without leaving the page.
  const order = ['auto', 'light', 'dark'];
  doc.addEventListener('submit', (event) => {
    const button = event.submitter;
    if (button && 'themeButton' in button.dataset) {
      event.preventDefault();
      const data = new URLSearchParams(new FormData(event.target));
      data.set('theme', button.value);
      root.dataset.theme = button.value;
      button.value = order[(order.indexOf(button.value) + 1) % 3];
      fetch('/preferences', { method: 'POST', body: data, redirect: 'manual' });
      return;
    }
    // A form is sent once.
    if (event.target.method === 'post') {
      if (event.target.dataset.sent) event.preventDefault();
      event.target.dataset.sent = '1';
    }
  });
  addEventListener('pageshow', () => $$('form[data-sent]').forEach((form) => delete form.dataset.sent));

  // Times in the reader's zone, and relative ones kept current.
  const relative = new Intl.RelativeTimeFormat(root.lang, { numeric: 'auto', style: 'narrow' });
  const clock = new Intl.DateTimeFormat(root.lang, { hour: '2-digit', minute: '2-digit', hour12: false });
  const full = new Intl.DateTimeFormat(root.lang, { dateStyle: 'medium', timeStyle: 'long' });
  const times = () => $$('time[data-t]').forEach((time) => {
    const at = new Date(time.dateTime), past = (Date.now() - at) / 1000;
    time.title = full.format(at);
    if (time.dataset.t === 'clock' && past < 86400 && at.getDate() === new Date().getDate()) time.textContent = clock.format(at);
    if (time.dataset.t === 'ago' && past >= 60) {
      const [n, unit] = past < 3600 ? [past / 60, 'minute'] : past < 86400 ? [past / 3600, 'hour'] : [past / 86400, 'day'];
      const text = relative.format(-Math.floor(n), unit);
      if (time.textContent !== text) time.textContent = text;
    }
  });
  times();
  setInterval(times, 30000);

  // Long lists on the page filter as one types; the form still asks the server.
  $$('input[data-filter]').forEach((input) => input.addEventListener('input', () => {
    const wanted = input.value.trim().toLowerCase();
    $$('#' + input.dataset.filter + ' li').forEach((row) => { row.hidden = !!wanted && !row.textContent.toLowerCase().includes(wanted); });
  }));

  // The live stream: fragments replace the content of the elements they name. Focus and scroll
  // stay; a row under the pointer is not moved while a menu or field in it is in use.
  const mark = (state) => {
    const live = $('#live');
    if (!live || live.dataset.state === state) return;
    live.dataset.state = state;
    live.textContent = state === 'stale' ? body.dataset.stale + ' · ' + clock.format(new Date()) : body.dataset.live;
  };
  const put = ({ id, html }) => {
    const place = doc.getElementById(id);
    if (!place || place.dataset.html === html || place.contains($('details.menu[open]'))) return;
    const active = doc.activeElement, inside = place.contains(active);
    const key = inside && (active.id ? '#' + CSS.escape(active.id) : active.getAttribute('href') && 'a[href="' + CSS.escape(active.getAttribute('href')) + '"]');
    const opened = $('[data-current] [aria-current]', place);
    const current = opened && opened.getAttribute('href');
    const scrolled = $$('[data-keep]', place).map((part) => part.scrollTop);
    place.innerHTML = html;
    place.dataset.html = html;
    $$('[data-keep]', place).forEach((part, i) => { part.scrollTop = scrolled[i] || 0; });
    $$('[data-current] a', place).forEach((link) => { if (current ? link.getAttribute('href') === current : link.pathname === location.pathname) link.setAttribute('aria-current', 'true'); });
    if (key) { const again = $(key, place); if (again) again.focus({ preventScroll: true }); }
    const told = $('[data-say]', place);
    if (told && told.dataset.say !== place.dataset.said) { place.dataset.said = told.dataset.say; say(told.dataset.say); }
    times();
    doc.dispatchEvent(new CustomEvent('fragment', { detail: id }));
  };
  let stream = null, quiet = 0;
  const open = () => {
    if (stream || !body.dataset.topics) return;
    stream = new EventSource('/stream?topics=' + encodeURIComponent(body.dataset.topics));
    const heard = () => { clearTimeout(quiet); quiet = setTimeout(() => mark('stale'), 40000); mark('live'); };
    stream.onopen = heard;
    stream.addEventListener('resync', heard);
    stream.addEventListener('fragment', (event) => { heard(); put(JSON.parse(event.data)); });
    stream.onerror = () => { mark('stale'); if (stream.readyState === 2) { stream = null; setTimeout(open, 3000 + Math.random() * 3000); } };
  };
  const close = () => { if (stream) { stream.close(); stream = null; clearTimeout(quiet); } };
  // A hidden page hears nothing and keeps no connection; it starts anew when it is seen again.
  doc.addEventListener('visibilitychange', () => { if (doc.hidden) close(); else open(); });
  addEventListener('pagehide', close);
  open();

  // The palette: the search page's results in a dialog.
  let dialog = null, asked = 0, wait = 0;
  const palette = () => {
    const form = $('form.find');
    if (!form || !window.HTMLDialogElement) return false;
    if (!dialog) {
      const label = $('input', form).getAttribute('aria-label');
      dialog = doc.createElement('dialog');
      dialog.className = 'palette';
      dialog.setAttribute('aria-label', label);
      const input = Object.assign(doc.createElement('input'), { type: 'search', placeholder: label, autocomplete: 'off', maxLength: 200 });
      for (const [name, value] of [['role', 'combobox'], ['aria-expanded', 'true'], ['aria-controls', 'found'], ['aria-label', label]]) input.setAttribute(name, value);
      const found = Object.assign(doc.createElement('div'), { id: 'found' });
      found.setAttribute('role', 'listbox');
      dialog.append(input, found);
      body.append(dialog);
      const choose = (option) => {
        $$('[aria-selected]', found).forEach((other) => other.removeAttribute('aria-selected'));
        if (!option) return input.removeAttribute('aria-activedescendant');
        option.setAttribute('aria-selected', 'true');
        input.setAttribute('aria-activedescendant', option.id);
        option.scrollIntoView({ block: 'nearest' });
      };
      const ask = async () => {
        const mine = ++asked;
        const answer = await fetch('/search?part=1&q=' + encodeURIComponent(input.value)).catch(() => null);
        if (!answer || !answer.ok || mine !== asked) return;
        found.innerHTML = await answer.text();
        $$('a', found).forEach((link, i) => { link.id = 'found-' + i; link.setAttribute('role', 'option'); });
        choose($('a', found));
      };
      input.addEventListener('input', () => { clearTimeout(wait); wait = setTimeout(ask, 120); });
      input.addEventListener('keydown', (event) => {
        const options = $$('a', found), at = options.findIndex((option) => option.hasAttribute('aria-selected'));
        if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
          event.preventDefault();
          if (options.length) choose(options[(at + (event.key === 'ArrowDown' ? 1 : options.length - 1)) % options.length]);
        }
        if (event.key === 'Enter') {
          event.preventDefault();
          location.href = at >= 0 ? options[at].href : '/search?q=' + encodeURIComponent(input.value);
        }
      });
      dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
      dialog.ask = ask;
    }
    dialog.showModal();
    $('input', dialog).select();
    dialog.ask();
    return true;
  };
  const find = $('form.find input');
  if (find) find.addEventListener('focus', (event) => { if (event.relatedTarget !== dialog && !find.value && palette()) find.blur(); });

  // Keys. Never inside fields, never with a modifier but for the palette.
  const go = { o: '/', c: '/catalog', a: 'a', r: 'r', n: '/nodes', l: '/audit' };
  let g = 0;
  doc.addEventListener('keydown', (event) => {
    if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') { if (palette()) event.preventDefault(); return; }
    if (event.metaKey || event.ctrlKey || event.altKey || event.target.closest('input, textarea, select, dialog, [contenteditable]')) return;
    if (event.key === '/') { if (palette()) event.preventDefault(); return; }
    if (event.key === '?') { location.href = '/docs/shortcuts'; return; }
    if (event.key === 'Escape') { $$('details.menu[open]').forEach((menu) => { menu.open = false; $('summary', menu).focus(); }); return; }
    if (g && go[event.key]) {
      g = 0;
      const to = go[event.key];
      const link = to.length === 1 && to !== '/' ? $('.nav a[href$="/' + to + '"]') : null;
      if (link) location.href = link.href; else if (to.startsWith('/')) location.href = to;
      return;
    }
    g = event.key === 'g' ? 1 : 0;
    if (event.key === 'j' || event.key === 'k') {
      const rows = $$('main :is(.tbl .name, .rail a, .list .go)').filter((row) => row.offsetParent);
      const at = rows.indexOf(doc.activeElement);
      const next = rows[event.key === 'j' ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0)];
      if (next) next.focus();
    }
    if (event.key === 'y') {
      const row = doc.activeElement && doc.activeElement.closest('tr, li, section');
      const button = $('[data-copy]', row || doc);
      if (button) copy(button);
    }
  });
})();
