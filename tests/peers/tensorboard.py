"""Reads the event files of a training run with TensorBoard's own reader and compares them with the run's log.

    python tensorboard.py RUN        compares the event files in the run's folder RUN with its log

RUN is the folder of a run that trained in stage 1 and in stage 2. Needs tensorboard. Every number of log.jsonl has to come out of
TensorBoard's own reader, as do the pictures and the hyperparameters.
"""

import json
import math
import sys
from pathlib import Path

sys.path.pop(0)  # this file's folder, where the package's name is this file's

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import plugin_data_pb2

run = Path(sys.argv[1])
# Whatever a resumed run wrote twice counts once, as it was last.
steps = {}
for line in (run / "log.jsonl").read_text().splitlines():
    event = json.loads(line)
    if event["event"] == "step":
        steps[event["phase"], event["iteration"]] = event

events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
events.Reload()
tags = events.Tags()
read = {(tag, scalar.step): scalar.value for tag in tags["scalars"] for scalar in events.Scalars(tag)}
written = 0
for (phase, iteration), event in steps.items():
    for name, value in event.items():
        if name in ("event", "phase", "iteration", "total"):
            continue
        given = read[f"{phase}/{name}", iteration]
        assert math.isclose(given, value, rel_tol=1e-6), (phase, iteration, name, given, value)
        written += 1
assert written == len(read), (written, len(read))

pictures = [image for tag in tags["images"] for image in events.Images(tag)]
assert pictures and all(image.encoded_image_string.startswith(b"\x89PNG") for image in pictures)

everything = EventMultiplexer().AddRunsFromDirectory(str(run)).Reload()
content = None
for name in everything.Runs():
    metadata = everything.GetAccumulator(name).AllSummaryMetadata()
    if "_hparams_/session_start_info" in metadata:
        content = metadata["_hparams_/session_start_info"].plugin_data.content
parsed = plugin_data_pb2.HParamsPluginData.FromString(content)
hyperparameters = parsed.session_start_info.hparams
assert hyperparameters["objective"].string_value, hyperparameters
assert hyperparameters["stage1.learning_rate"].number_value > 0
print(f"tensorboard: {written} scalars, {len(pictures)} pictures, {len(hyperparameters)} hyperparameters agree")
