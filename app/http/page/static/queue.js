// Keeps the rows of the queue up to date. The server makes them and sends those that have changed.
"use strict";

(() => {
  const list = document.getElementById("queue-rows");
  const summary = document.getElementById("queue-summary");
  const reload = document.getElementById("queue-reload");
  if (!list || !window.EventSource) return;
  const words = list.dataset;
  const RETRY = 30000;
  let source = null;
  let retry = 0;

  // The hint keeps its place, so that nothing moves.
  const showReload = (wanted) => reload.classList.toggle("is-needless", !wanted);

  const rowOf = (key) => list.querySelector(`[data-key="${CSS.escape(key)}"]`);

  const made = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.querySelector("li");
  };

  // The picture before stays where it is until this one can be drawn.
  const showPreview = ({ key, picture }) => {
    const image = rowOf(key)?.querySelector(".queue-picture img");
    if (!image) return;
    image.src = picture;
    image.hidden = false;
  };

  const showRow = ({ key, html }) => {
    const row = made(html);
    const old = rowOf(key);
    if (!old) {
      list.append(row);
      return;
    }
    const hasFocus = old.contains(document.activeElement);
    for (const part of [".queue-picture", ".queue-progress"]) {
      const known = old.querySelector(part);
      const empty = row.querySelector(part);
      if (known && empty) empty.replaceWith(known);
    }
    old.replaceWith(row);
    if (hasFocus) row.querySelector("button")?.focus();
  };

  const showProgress = ({ key, percent, step }) => {
    const row = rowOf(key);
    const bar = row?.querySelector("progress");
    if (!bar) return;
    bar.value = percent;
    bar.nextElementSibling.textContent = step;
  };

  const sort = (order) => {
    const wanted = new Set(order);
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    for (const row of [...list.children]) {
      if (!wanted.has(row.dataset.key)) row.remove();
    }
    order.forEach((key, index) => {
      const row = rowOf(key);
      if (row && list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    });
    // A row that is moved loses the focus.
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  };

  const showTimes = () => {
    for (const time of list.querySelectorAll("[data-at]")) {
      const seconds = Math.max(1, Math.round(Number(time.dataset.at) - Date.now() / 1000));
      const [unit, size] = seconds < 60 ? ["seconds", 1] : seconds < 5400 ? ["minutes", 60] : ["hours", 3600];
      const rounded = size === 1 ? Math.ceil(seconds / 5) * 5 : Math.round(seconds / size);
      const text = words[time.dataset.what].replace("{}", words[unit].replace("{}", rounded));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const receive = (event) => {
    const { rows, progress, order, summary: text } = JSON.parse(event.data);
    rows.forEach(showRow);
    if (order) sort(order);
    progress.forEach(showProgress);
    if (summary.textContent !== text) summary.textContent = text;
    showTimes();
  };

  const close = () => {
    source?.close();
    source = null;
    clearTimeout(retry);
    showReload(true);
  };

  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(words.events);
    source.addEventListener("open", () => showReload(false));
    source.addEventListener("queue", receive);
    source.addEventListener("preview", (event) => showPreview(JSON.parse(event.data)));
    source.addEventListener("over", close);
    source.addEventListener("error", () => {
      showReload(true);
      // The browser connects again by itself unless it was refused.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      retry = setTimeout(open, RETRY);
    });
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  setInterval(showTimes, 5000);
  open();
})();
