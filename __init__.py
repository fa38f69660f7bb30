"""A clone of refvid in ComfyUI's `custom_nodes` is this package of nodes; nothing else uses it."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("comfy_api") is not None:  # pytest imports this file, too
    # The clone itself is used, unless refvid is installed.
    sys.path.append(str(Path(__file__).parent))
    from refvid.integrations.comfyui import comfy_entrypoint as comfy_entrypoint
