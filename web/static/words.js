// The page's words in the visitor's language. They come from the machine's
// catalogue.

let texts = {};
let plural = new Intl.PluralRules('en');
// Safari has had it since 2021 only.
const lister = (lang) => (Intl.ListFormat ? new Intl.ListFormat(lang, { type: 'unit' }) : { format: (names) => names.join(', ') });
let list = lister('en');

// loadWords fetches the texts that the page names.
export async function loadWords(url, lang) {
  const r = await fetch(url);
  if (!r.ok) throw new Error(`the page's words: ${r.status}`);
  texts = await r.json();
  const known = /^[a-z]{2,3}(-[A-Z]{2})?$/.test(lang) ? lang : 'en';
  plural = new Intl.PluralRules(known);
  list = lister(known);
}

// say fills a text: say('js.new', {n: 3}). The argument n chooses a plural form.
export function say(key, args = {}) {
  const t = texts[key];
  if (t === undefined) return key;
  const form = typeof t === 'string' ? t : (t[plural.select(args.n ?? 0)] ?? t.other ?? t.many ?? '');
  return form.replace(/\{([a-z]+)\}/g, (whole, name) => (args[name] === undefined ? whole : String(args[name])));
}

// listed joins names as the language does.
export const listed = (names) => list.format(names);
