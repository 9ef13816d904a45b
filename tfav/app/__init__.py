"""Floor 5: the web page. A person drops a video on it and reads what the systems make of it.

page.py        what the browser shows, built by Gradio from the systems' own tabs
tabs.py        the systems' tabs, and by kind of result how it is shown (rendering.py)
controller.py  what happens when a person uploads, starts, cancels or leaves
uploads.py     what a file must be before anything decodes it
job_queue.py   videos wait in line and are worked on one at a time, in a process that can be ended
worker.py      that process: TensorFlow and the systems live there, and nowhere else
enrol_station  takes of a person who records themself, checked apart and filed; enrol_routes.py its addresses
server.py      temporary folders, start and stop
"""

from tfav import lazy_names

__getattr__, __dir__, __all__ = lazy_names.attach(__name__, submod_attrs={"server": ["serve"]})
