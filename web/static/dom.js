// Elements, made without parsing text: what people wrote can only be text.

// el makes an element: el('p', {class: 'x', onclick: f, hidden: true}, 'text', child).
export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? '' : value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== ''));
  return e;
}

// clock writes a time of this day, or with its day, in the page's language.
export function clock(seconds, now = Date.now()) {
  const at = new Date(1000 * seconds);
  const lang = document.documentElement.lang;
  const hours = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  const form = new Date(now).toDateString() === at.toDateString() ? hours : { day: 'numeric', month: 'short', ...hours };
  try {
    return at.toLocaleString(`${lang}-u-nu-latn`, form);
  } catch {
    return at.toLocaleString(undefined, form); // a language that browsers do not know
  }
}

// secure says whether secrets may be shown and typed here: over https, or on
// this very device.
export const secure = () => globalThis.isSecureContext === true;
