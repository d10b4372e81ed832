// The gallery and the page of one picture: further pictures at the end of the grid, and keys. All of it also works
// without this file, by links and forms.

(() => {
  "use strict";

  const grid = document.querySelector(".grid[data-endless]");
  const tiles = () => [...document.querySelectorAll(".grid .tile > a")];

  // The last row, while it is not known to be full: its pictures would grow and move when further ones come beside
  // them, so they are shown together with those.

  const showRow = () => {
    for (const tile of grid.querySelectorAll(".is-early")) tile.classList.remove("is-early");
  };

  const holdRow = () => {
    showRow();
    const last = grid.lastElementChild;
    if (!last || !document.getElementById("older") || last.offsetTop === grid.firstElementChild.offsetTop) return;
    const row = [];
    for (let tile = last; tile.offsetTop === last.offsetTop; tile = tile.previousElementSibling) row.push(tile);
    if (row.some((tile) => tile.contains(document.activeElement))) return;
    for (const tile of row) tile.classList.add("is-early");
  };

  // Further pictures.

  let loading = null;

  const load = async () => {
    const older = document.getElementById("older");
    if (!older) return false;
    const answer = await fetch(older.href, { headers: { Accept: "text/html" } });
    // Somebody who is logged out meanwhile is led to the login.
    if (answer.redirected) location.assign(older.href);
    if (!answer.ok || answer.redirected) return false;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    // One that ended late may be among the new ones already.
    const added = [...next.querySelectorAll("[data-endless] > .tile")].filter(({ id }) => !document.getElementById(id));
    grid.append(...added.map((tile) => document.adoptNode(tile)));
    const further = next.getElementById("older");
    if (further) {
      older.href = further.href;
    } else {
      const focused = document.activeElement === older;
      older.closest(".further").remove();
      if (focused) added[0]?.querySelector("a").focus({ preventScroll: true });
    }
    return added.length > 0 || Boolean(further);
  };

  // What stands below the grid is not seen to jump away from under it.
  const more = () => {
    if (loading) return loading;
    const further = document.getElementById("older")?.closest(".further");
    further?.classList.toggle("is-early", !further.contains(document.activeElement));
    loading = load().finally(() => {
      loading = null;
      // Only after it was drawn in its new place.
      requestAnimationFrame(() => requestAnimationFrame(() => loading ?? further?.classList.remove("is-early")));
    });
    return loading;
  };

  const near = (element) => element.getBoundingClientRect().top < 2 * innerHeight;

  const fill = async () => {
    for (let older; (older = document.getElementById("older")) && near(older); ) {
      if (await more().catch(() => false)) holdRow();
      else return showRow();
    }
  };

  // Back at the place that was left.

  const restore = async () => {
    const key = history.state?.tile;
    if (!key || performance.getEntriesByType("navigation")[0]?.type !== "back_forward") return;
    for (let pages = 0; pages < 20 && !document.getElementById(key); pages += 1) {
      if (!(await more().catch(() => false))) return;
    }
    const tile = document.getElementById(key);
    showRow();
    tile?.scrollIntoView({ block: "center" });
    tile?.querySelector("a").focus({ preventScroll: true });
  };

  if (grid) {
    document.addEventListener("click", (event) => {
      const tile = event.target.closest?.(".grid .tile > a")?.parentElement;
      if (tile) history.replaceState({ ...history.state, tile: tile.id }, "");
      if (tile) sessionStorage.setItem("from-grid", "1");
      const older = event.target;
      if (older.id === "older" && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
        event.preventDefault();
        // What cannot be added is opened, so that people read why.
        more()
          .catch(() => false)
          .then((done) => (done ? holdRow() : older.isConnected && location.assign(older.href)));
      }
    });
    addEventListener("scroll", fill, { passive: true });
    addEventListener("resize", () => {
      holdRow();
      fill();
    });
    holdRow();
    restore().then(() => {
      holdRow();
      fill();
    });
  }

  // From picture to picture without filling the history, so that Back leads to the grid.

  const follow = (link) => {
    if (link) location.replace(link.href);
  };

  const leave = () => {
    const up = document.querySelector("a[rel=up]");
    if (up && sessionStorage.getItem("from-grid") && history.length > 1) {
      sessionStorage.removeItem("from-grid");
      history.back();
    } else if (up) {
      location.assign(up.href);
    }
  };

  const picture = document.querySelector("[data-picture]");
  if (picture) {
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.("a[href]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (link.matches("[rel=prev], [rel=next], [data-stays]")) {
        event.preventDefault();
        follow(link);
      } else if (link.matches("[rel=up]")) {
        event.preventDefault();
        leave();
      } else if (!link.matches("[download], [target]")) {
        sessionStorage.removeItem("from-grid");
      }
    });
  }

  // Copy a text, and say that it was copied.

  for (const button of document.querySelectorAll("[data-copies]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const field = document.getElementById(button.dataset.copies);
      field.select();
      try {
        await navigator.clipboard.writeText(field.value);
      } catch {
        document.execCommand("copy");
      }
      button.textContent = button.dataset.done;
    });
  }

  // Times as they are where the viewer is.

  const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.title = when.format(new Date(time.dateTime));
  }

  // A page that is loaded anew takes away what somebody types, so how far the job is can wait.

  document.addEventListener("htmx:before:request", (event) => {
    if (document.querySelector("details.action[open]")) event.preventDefault();
  });

  // Keys.

  const keys = document.getElementById("keys");
  for (const button of document.querySelectorAll("[data-opens=keys]")) {
    button.hidden = false;
    button.addEventListener("click", () => keys.showModal());
  }

  // Who speaks to the computer presses letters by accident, and can turn them off.
  const OFF = "keys-off";
  const lettersOn = document.getElementById("keys-on");
  if (lettersOn) {
    lettersOn.checked = !localStorage.getItem(OFF);
    lettersOn.addEventListener("change", () => {
      if (lettersOn.checked) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "1");
    });
  }

  const middle = (box) => box.left + box.width / 2;

  // The tile above or below that is nearest.
  const beside = (all, current, step) => {
    const here = current.getBoundingClientRect();
    const rows = all
      .map((tile) => ({ tile, box: tile.getBoundingClientRect() }))
      .filter(({ box }) => (step > 0 ? box.top > here.top + 4 : box.top < here.top - 4));
    const edge = step > 0 ? Math.min(...rows.map(({ box }) => box.top)) : Math.max(...rows.map(({ box }) => box.top));
    const row = rows.filter(({ box }) => Math.abs(box.top - edge) < 4);
    row.sort((a, b) => Math.abs(middle(a.box) - middle(here)) - Math.abs(middle(b.box) - middle(here)));
    return row[0]?.tile;
  };

  const move = (key) => {
    const all = tiles().filter((tile) => getComputedStyle(tile).visibility !== "hidden");
    const at = all.indexOf(document.activeElement);
    let target = all[0];
    if (at >= 0) {
      if (key === "ArrowUp" || key === "ArrowDown") target = beside(all, all[at], key === "ArrowDown" ? 1 : -1);
      else target = all[at + (key === "ArrowRight" || key === "j" ? 1 : -1)];
    } else if (key.startsWith("Arrow")) {
      // Arrows scroll until a picture is chosen.
      return false;
    }
    if (!target) return at >= 0;
    target.focus();
    target.scrollIntoView({ block: "nearest" });
    fill();
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || keys?.open) return;
    const writing = event.target.closest?.("input, textarea, select");
    if (event.key === "Escape") {
      // A closed dialog can keep the focus until the page is drawn again.
      if (writing && !keys?.contains(writing)) writing.blur();
      else if (picture) leave();
      return;
    }
    if (writing || event.target.closest?.("video, audio")) return;
    if (event.key.length === 1 && localStorage.getItem(OFF)) return;
    let done = true;
    if (event.key === "/") document.querySelector(".search input")?.focus();
    else if (event.key === "?") keys?.showModal();
    else if (grid && ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "j", "k"].includes(event.key)) {
      done = move(event.key);
    } else if (picture && ["ArrowLeft", "k"].includes(event.key)) follow(document.querySelector("a[rel=prev]"));
    else if (picture && ["ArrowRight", "j"].includes(event.key)) follow(document.querySelector("a[rel=next]"));
    else done = false;
    if (done) event.preventDefault();
  });
})();
