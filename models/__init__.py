"""What a network is: zoo, layer graph, cutting, profiles, predictors, preprocessing."""

from layerlift.models.graph.graph import Layer, LayerGraph, Parameter, Segment, Tensor
from layerlift.models.loading.load import from_model, load
from layerlift.models.running.cutting import Subgraph, subgraph
from layerlift.models.running.network import Network
from layerlift.models.running.session import Session, Uncut, uncut_session

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
