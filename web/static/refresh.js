// Views of the machine that keep themselves fresh: the same page is fetched
// again, and what differs is put in place, so that focus, what is typed, what is
// unfolded and how far is scrolled stay.

const least = 2; // seconds between two looks

// begin watches every [data-refresh="SECONDS"] with an id.
export function begin() {
  const parts = [...document.querySelectorAll('[data-refresh][id]')];
  const every = 1000 * Math.max(least, Math.min(...parts.map((p) => Number(p.dataset.refresh) || 10)));
  let timer = null;
  let stopped = false;
  let slow = 1;
  const plan = () => {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(look, every * slow);
  };
  const look = async () => {
    if (document.visibilityState === 'hidden') return plan();
    const ok = await refresh(parts.map((p) => p.id));
    slow = ok ? 1 : Math.min(8, slow * 2);
    return plan();
  };
  const seen = () => {
    if (document.visibilityState === 'visible') {
      slow = 1;
      look();
    }
  };
  document.addEventListener('visibilitychange', seen);
  plan();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', seen);
  };
}

// refresh fetches this page and renews the parts with these ids.
export async function refresh(ids) {
  let text;
  try {
    const r = await fetch(location.href, { headers: { Accept: 'text/html' }, cache: 'no-store', redirect: 'error' });
    if (!r.ok) return false;
    text = await r.text();
  } catch {
    return false;
  }
  const fresh = new DOMParser().parseFromString(text, 'text/html');
  for (const id of ids) {
    const now = document.getElementById(id);
    const then = fresh.getElementById(id);
    if (now && then) morph(now, then);
  }
  return true;
}

// morph makes the element now look like then with as few changes as it takes.
export function morph(now, then) {
  if (now.hasAttribute('data-keep') || now.isEqualNode(then)) return;
  attributes(now, then);
  const wanted = [...then.childNodes];
  let at = now.firstChild;
  for (const w of wanted) {
    const m = match(at, w);
    if (!m) {
      now.insertBefore(document.importNode(w, true), at);
      continue;
    }
    while (at !== m) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
    at = m.nextSibling;
    if (m.nodeType === Node.ELEMENT_NODE) morph(m, w);
    else if (m.nodeValue !== w.nodeValue) m.nodeValue = w.nodeValue;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// match finds, from at on, the node that w renews: by its id or data-id, else
// the next one of its sort.
function match(at, w) {
  const name = nameOf(w);
  for (let n = at; n; n = n.nextSibling) {
    if (n.nodeType !== w.nodeType || n.nodeName !== w.nodeName) {
      if (name) continue;
      return null;
    }
    if (nameOf(n) === name) return n;
    if (!name) return null;
  }
  return null;
}

const nameOf = (n) => (n.nodeType === Node.ELEMENT_NODE ? n.id || n.dataset?.id || '' : '');

function attributes(now, then) {
  for (const { name } of [...now.attributes]) {
    // What the visitor unfolded stays so; what he typed is no attribute.
    if (!then.hasAttribute(name) && !(name === 'open' && now.nodeName === 'DETAILS')) now.removeAttribute(name);
  }
  for (const { name, value } of then.attributes) {
    if (name === 'open' && now.nodeName === 'DETAILS') continue;
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
}
