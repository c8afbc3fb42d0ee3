// The access token: kept for this tab only, so that a reload keeps it and closing the tab forgets it.
import { useState } from "react";

const KEY = "luthier:accessToken";

export const authorization = () => {
  const token = sessionStorage.getItem(KEY);
  return token ? { authorization: `Bearer ${token}` } : {};
};

// Without the word that people copy along with it.
const cleaned = (text) => text.trim().replace(/^bearer\s+/i, "");

const keep = (token) => (token ? sessionStorage.setItem(KEY, token) : sessionStorage.removeItem(KEY));

export function TokenField() {
  const [text, setText] = useState(() => sessionStorage.getItem(KEY) ?? "");
  const change = ({ target }) => {
    setText(target.value);
    keep(cleaned(target.value));
  };
  return (
    <label className="token">
      Access token
      <input
        id="token"
        type="password"
        autoComplete="off"
        spellCheck={false}
        placeholder="from login or register"
        value={text}
        onChange={change}
      />
    </label>
  );
}
