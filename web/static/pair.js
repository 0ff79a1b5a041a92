// The code of a one-time link stands behind '#', which browsers send nowhere.
// It goes into the form and out of the address, so that it stays in no history.
const code = decodeURIComponent(location.hash.slice(1));
const field = document.querySelector('form[data-pair] input[name=code]');
const secure = document.querySelector('[data-pair-secure]');
if (code && field) {
  field.value = code;
  history.replaceState(null, '', location.pathname + location.search);
  field.form.querySelector('button').focus();
} else if (code && secure) {
  secure.hash = code;
}
