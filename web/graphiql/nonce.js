// The page's policy allows only <style> elements that carry the response's nonce. Monaco makes its own without one.
const { nonce } = document.querySelector("script[nonce]");
const createElement = Document.prototype.createElement;

Document.prototype.createElement = function (...named) {
  const made = createElement.apply(this, named);
  if (made instanceof HTMLStyleElement) made.nonce = nonce;
  return made;
};
