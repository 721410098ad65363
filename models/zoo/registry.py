"""The networks that are built here, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import onnx

from layerlift.models.zoo import decoder, detector, mobile, tagger, transformers, unet

BUILDERS: Final[Mapping[str, Callable[[], onnx.ModelProto]]] = {
    "bert_small": transformers.bert_small,
    "efficientnet_b0": mobile.efficientnet_b0,
    "lstm_tagger": tagger.lstm_tagger,
    "mobilenet_v2": mobile.mobilenet_v2,
    "stories15m": decoder.stories15m,
    "unet": unet.unet,
    "vit_tiny": transformers.vit_tiny,
    "whisper_tiny": transformers.whisper_tiny,
    "yolov8n": detector.yolov8n,
}
