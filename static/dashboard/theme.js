// Runs before the first paint: a page must not flash in the wrong colours. Without a stored choice the system decides.
const chosen = localStorage.getItem("baton-theme");
if (chosen) document.documentElement.dataset.theme = chosen;

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-toggle]")) return;
  const root = document.documentElement;
  const dark = getComputedStyle(root).colorScheme === "dark"
    || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("baton-theme", root.dataset.theme);
});
