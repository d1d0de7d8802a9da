// <button data-copy="id"> copies the text of that element and says so for a moment.

const SHOWN = 1500; // ms

async function copy(element) {
  if (!navigator.clipboard) { // plain HTTP from another machine: browsers forbid it, so the text is selected instead
    getSelection().selectAllChildren(element);
    return "Press Ctrl+C";
  }
  await navigator.clipboard.writeText(element.textContent);
  return "Copied";
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button || button.dataset.before) return;
  const label = button.querySelector("span");
  button.dataset.before = label.textContent;
  label.textContent = await copy(document.getElementById(button.dataset.copy));
  setTimeout(() => {
    label.textContent = button.dataset.before;
    delete button.dataset.before;
  }, SHOWN);
});
