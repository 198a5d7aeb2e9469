"""What an accessibility tree lacks on these pages, added to them: which elements act, and what drawn ones look like.

MiniWoB++ marks up little: icons are empty spans, shapes have no names, anything may listen to clicks. A script that
runs before a page's own gives elements that listen to the mouse an attribute (`ACTS`, by which the tree lists them);
those without text get a label from class, colour and size, as a person would see them, and ``aria-pressed`` where
their class says that they are chosen.
"""

from __future__ import annotations

from typing import Final

#: Attribute of elements that listen to the mouse.
ACTS: Final = "data-acts"
#: CSS selector for them.
ALSO: Final = f"#area [{ACTS}], body > .ui-widget [{ACTS}]"

LABELS_JS: Final = f"""(() => {{
  const listens = new Set(['click', 'mousedown', 'mouseup', 'pointerdown', 'mousemove']);
  const drawn = new Set(['rect', 'circle', 'polygon', 'text', 'path']);
  const chosen = ['selected', 'active', 'clicked', 'ui-state-active'];
  const noise = /^(ui-|hide$|hidden$|hover|active$|selected$|clicked$)/;
  const size = element => {{ const box = element.getBBox(); return Math.round(Math.max(box.width, box.height)); }};
  const label = element => {{
    const parts = [];
    const color = element.getAttribute('data-color') || element.getAttribute('fill');
    if (drawn.has(element.tagName)) {{
      if (color) parts.push(color);
      parts.push(element.tagName === 'text' ? element.textContent : element.tagName);
      if (element.isConnected) parts.push(size(element) + ' px');
    }} else if (!element.textContent.trim() && !('value' in element)) {{
      if (color) parts.push(color);
      for (const name of element.classList) if (!noise.test(name)) parts.push(name);
    }}
    const text = parts.join(' ');
    if (text && element.getAttribute('aria-label') !== text) element.setAttribute('aria-label', text);
    const pressed = chosen.some(name => element.classList.contains(name));
    if (pressed) element.setAttribute('aria-pressed', 'true');
    else if (element.hasAttribute('aria-pressed')) element.setAttribute('aria-pressed', 'false');
  }};
  const changes = new MutationObserver(records => {{ for (const r of records) label(r.target); }});
  const add = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (type, ...rest) {{
    if (this instanceof Element && listens.has(type) && !this.hasAttribute('{ACTS}')) {{
      this.setAttribute('{ACTS}', '');
      changes.observe(this, {{attributes: true, attributeFilter: ['class', 'fill']}});
      queueMicrotask(() => label(this));
    }}
    return add.call(this, type, ...rest);
  }};
}})()"""
