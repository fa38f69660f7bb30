"""refvid from Python: what the commands do, as functions.

    import refvid

    report = refvid.enhance("in.mp4", "out.mp4", ref="frame.png", crf=18)

Keywords have the names, the words and the defaults of the commands' flags (`refvid enhance
--help`), and take numbers where words stand for numbers: `start="1:30"` or `start=90`. A flag
`--no-x` is `x=False`. How a model runs, and on which device, is said to `load_model`. Config file
and `REFVID_*` variables, which are for the commands, change nothing here.

All errors are those of `refvid.errors`. An output appears when it is whole. What a command would
tell on stderr goes into the reports and to the log `refvid`.
"""

from refvid.api.frames import decode_latents as decode_latents
from refvid.api.frames import enhance_frames as enhance_frames
from refvid.api.frames import stylize_frames as stylize_frames
from refvid.api.latents import decode as decode
from refvid.api.latents import encode as encode
from refvid.api.measures import compare as compare
from refvid.api.measures import info as info
from refvid.api.measures import measure as measure
from refvid.api.models import load_model as load_model
from refvid.api.tokens import detokenize as detokenize
from refvid.api.tokens import load_tokens as load_tokens
from refvid.api.tokens import tokenize as tokenize
from refvid.api.videos import enhance as enhance
from refvid.api.videos import stylize as stylize
