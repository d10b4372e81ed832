// New results at the top of the open gallery. The server tells that there are some, and sends those that match and that
// the viewer may see. Whoever looks at something is not disturbed: a button shows the new ones.

(() => {
  "use strict";

  const list = document.getElementById("new");
  const grid = document.querySelector(".grid[data-endless]");
  if (!list || !grid || !window.EventSource) return;
  const button = document.getElementById("new-button");
  const status = document.getElementById("new-status");
  const words = list.dataset;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const RETRY = 30000;
  const PAUSE = 500;
  const AGAIN = 10000;
  const MOST = 200;
  const SLIDE = 240;
  // Those that are not shown yet, newest first.
  let waiting = [];
  let tooMany = false;

  const keyOf = (tile) => Number(tile.id.slice(1));

  const counted = (number) => (number === 1 ? words.one : words.many.replace("{}", number));

  const say = (text) => {
    // The same sentence again would not be read out.
    status.textContent = "";
    requestAnimationFrame(() => (status.textContent = text));
  };

  // Without motion, everything would jump.
  const isDisturbing = () =>
    scrollY > 8 || still.matches || document.querySelector(".grid :focus, .tile:hover, dialog[open]");

  const drawn = (then) => requestAnimationFrame(() => requestAnimationFrame(then));

  // Put the new ones in their places. What they push away slides there, so that eyes can follow.
  const show = () => {
    const moved = [...list.children, grid, document.querySelector(".further")].filter(Boolean);
    const before = moved.map((element) => element.getBoundingClientRect());
    const added = waiting;
    waiting = [];
    button.hidden = true;
    document.getElementById("note")?.remove();
    list.hidden = false;
    for (const tile of added) {
      list.insertBefore(tile, [...list.children].find((other) => keyOf(other) < keyOf(tile)) ?? null);
    }
    if (still.matches) return;
    const timing = { duration: SLIDE, easing: "ease-out" };
    moved.forEach((element, index) => {
      const box = element.getBoundingClientRect();
      const [x, y] = [before[index].left - box.left, before[index].top - box.top];
      if (!x && !y) return;
      // Drawn once where it was before: an animation alone begins one frame too late.
      element.style.transform = `translate(${x}px, ${y}px)`;
      drawn(() => {
        element.animate([{ transform: element.style.transform }, { transform: "none" }], timing);
        element.style.transform = "";
      });
    });
    for (const tile of added) tile.animate([{ opacity: 0 }, { opacity: 1 }], timing);
  };

  button.addEventListener("click", () => {
    if (tooMany) return location.assign(words.page);
    const newest = waiting[0];
    show();
    scrollTo({ top: 0, behavior: "instant" });
    newest?.querySelector("a").focus({ preventScroll: true });
  });

  const take = (next) => {
    const last = grid.lastElementChild;
    const end = last && document.getElementById("older") ? keyOf(last) : 0;
    // What belongs below the end of the grid comes once somebody scrolls there.
    const added = [...next.children].filter(
      (tile) =>
        keyOf(tile) > end && !document.getElementById(tile.id) && !waiting.some((other) => other.id === tile.id),
    );
    tooMany = "more" in next.dataset || list.children.length + waiting.length + added.length > MOST;
    if (!added.length && !tooMany) return;
    waiting = [...waiting, ...added.map((tile) => document.adoptNode(tile))].sort((a, b) => keyOf(b) - keyOf(a));
    say(tooMany ? words.tooMany : counted(added.length));
    if (!tooMany && !isDisturbing()) return show();
    button.textContent = tooMany ? words.tooMany : counted(waiting.length);
    button.hidden = false;
  };

  // What is told close together is asked for once.

  let timer = 0;
  let isLooking = false;
  let isDue = false;
  let looked = 0;

  const look = async () => {
    timer = 0;
    isDue = false;
    isLooking = true;
    looked = Date.now();
    let hasFailed = true;
    try {
      const address = new URL(words.address, location.href);
      address.searchParams.set("since", words.since);
      const answer = await fetch(address);
      if (!answer.ok) return;
      hasFailed = false;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("new");
      if (!next) return;
      take(next);
      [words.since, words.spread] = [next.dataset.since, next.dataset.spread];
      if (tooMany) close();
    } catch {
      // The connection is gone.
    } finally {
      isLooking = false;
      if (hasFailed && source) timer = setTimeout(look, AGAIN);
      else if (isDue) soon();
    }
  };

  const soon = () => {
    isDue = true;
    if (timer || isLooking || !source) return;
    timer = setTimeout(look, Math.max(0, looked + PAUSE - Date.now()) + Math.random() * words.spread);
  };

  // Listen while somebody can see the page: each person has only a few open connections.

  let source = null;
  let retry = 0;

  const close = () => {
    source?.close();
    source = null;
    clearTimeout(timer);
    clearTimeout(retry);
    timer = 0;
  };

  const open = () => {
    if (source || tooMany || document.hidden) return;
    source = new EventSource(words.events);
    // What came while nobody listened.
    source.addEventListener("open", soon);
    source.addEventListener("results", soon);
    source.addEventListener("over", close);
    source.addEventListener("error", () => {
      // The browser connects again by itself unless it was refused.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      retry = setTimeout(open, RETRY * (1 + Math.random()));
    });
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();

  // A thumbnail that is not made yet is asked for again, ever more rarely; meanwhile there are words.

  const LAST_TRY = 6;

  const retryPicture = (picture) => {
    const tile = picture.closest(".tile");
    const tries = Number(picture.dataset.soon) + 1;
    picture.hidden = true;
    if (!tile.querySelector(".words")) {
      const text = document.createElement("span");
      text.className = "words";
      text.textContent = picture.alt;
      picture.before(text);
    }
    if (tries > LAST_TRY) return;
    setTimeout(() => {
      const again = picture.cloneNode();
      again.dataset.soon = tries;
      again.loading = "eager";
      again.addEventListener("load", () => {
        tile.querySelector(".words")?.remove();
        again.hidden = false;
      });
      picture.replaceWith(again);
    }, 1000 * 2 ** tries);
  };

  document.addEventListener("error", ({ target }) => target.matches?.("img[data-soon]") && retryPicture(target), true);
})();
