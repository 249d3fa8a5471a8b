"""How the documentation is built: Sphinx reads the Markdown of this folder and the docstrings of the package.

`make docs` writes it to build/docs. The site needs nothing from elsewhere: fonts are the reader's own, and the search
runs in the page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import statecast

project = "statecast"
author = "the statecast authors"
copyright = author
version = release = statecast.__version__
language = "en"
smartquotes = False  # --out is an option, not a dash

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["requirements.txt"]
nitpicky = True

# --- Markdown: headings have the anchors that they have on GitHub

myst_enable_extensions = ["colon_fence", "attrs_inline", "attrs_block"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the decisions are a flat list of small headings

# --- notebooks run while the site is built, and an error in one ends the build

nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).resolve().parents[1] / "build" / "notebooks")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

# --- docstrings: a name in single backquotes is a link where it is the name of something

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_mock_imports = [
    "sktime",
    "aeon",
    "river",
    "mlflow",
]  # each holds other packages back; the docstrings need none of them
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
nitpick_ignore_regex = [("py:.*", r"(?s).*")]  # what is not on these pages: types of NumPy, names of arguments


def plain(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text: |x| is an absolute value, * a product, name_ a name.

    Examples stay as they are, and so does what a module's docstring indents.
    """
    example = False
    for number, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            parts = re.split(r"(`[^`]*`)", line)  # every second one is in backquotes
            parts[::2] = [re.sub(r"[|*]|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
            lines[number] = "".join(parts)
    for number, line in enumerate(lines):
        if line == "Returns:":  # napoleon would take what stands before a colon for the type
            lines[number : number + 2] = ["", f":returns: {lines[number + 1].strip()}"]
    if what == "module":
        blocks = [n for n, line in enumerate(lines) if n and line.startswith("    ") and not lines[n - 1].strip()]
        for n in reversed(blocks):
            lines[n:n] = ["::", ""]


def setup(app: Any) -> None:
    """What Sphinx calls first; the docstrings are made plain before napoleon reads them."""
    app.connect("autodoc-process-docstring", plain, priority=100)


# --- the site

html_theme = "furo"
html_title = "statecast"
html_static_path = ["_static"]
html_css_files = ["statecast.css"]
html_show_sphinx = False
html_copy_source = False
html_show_copyright = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The colours are those of the server's page and of the pictures.
light = {
    "color-brand-primary": "#0072b2",
    "color-brand-content": "#0072b2",
    "color-brand-visited": "#0072b2",
    "color-foreground-primary": "#1f2c37",
    "color-foreground-secondary": "#566573",
    "color-foreground-muted": "#566573",
    "color-foreground-border": "#8d99a4",
    "color-background-primary": "#ffffff",
    "color-background-secondary": "#f4f6f8",
    "color-background-hover": "#e9edf1",
    "color-background-border": "#e3e8ec",
    "color-code-background": "#f4f6f8",
    "color-inline-code-background": "#f0f3f6",
    "color-api-name": "#1f2c37",
    "color-api-pre-name": "#566573",
    "statecast-good": "#00715a",
    "statecast-wash": "#0072b212",
}
dark = {
    "color-brand-primary": "#63b3e4",
    "color-brand-content": "#63b3e4",
    "color-brand-visited": "#63b3e4",
    "color-foreground-primary": "#e4eaef",
    "color-foreground-secondary": "#9babb8",
    "color-foreground-muted": "#9babb8",
    "color-foreground-border": "#6a7883",
    "color-background-primary": "#11171c",
    "color-background-secondary": "#161d23",
    "color-background-hover": "#222c35",
    "color-background-border": "#2b3741",
    "color-code-background": "#1a2229",
    "color-inline-code-background": "#222c35",
    "color-api-name": "#e4eaef",
    "color-api-pre-name": "#9babb8",
    "statecast-good": "#4cc9a4",
    "statecast-wash": "#63b3e41c",
}
html_theme_options = {
    "light_css_variables": light,
    "dark_css_variables": dark,
    "light_logo": "logo.svg",
    "dark_logo": "logo.svg",
    "top_of_page_buttons": [],
    "footer_icons": [],
}
html_favicon = "_static/logo.svg"
pygments_style = "friendly"
pygments_dark_style = "github-dark"
