"""What a network is: zoo, layer graph, cutting, profiles, predictors, preprocessing."""

from layerlift.models.cutting import Subgraph, subgraph
from layerlift.models.graph.graph import Layer, LayerGraph, Parameter, Segment, Tensor
from layerlift.models.loading.load import from_model, load
from layerlift.models.network import Network
from layerlift.models.session import Session, Uncut, uncut_session

__all__ = [
    "Layer",
    "LayerGraph",
    "Network",
    "Parameter",
    "Segment",
    "Session",
    "Subgraph",
    "Tensor",
    "Uncut",
    "from_model",
    "load",
    "subgraph",
    "uncut_session",
]
