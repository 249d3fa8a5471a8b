// Light or dark as it was chosen, before the first paint; without a choice the system's.
(() => {
	const choice = localStorage.getItem("statecast-theme");
	if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
})();
