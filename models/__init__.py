"""What a network is: zoo, layer graph, cutting, profiles, predictors, preprocessing."""

from models.cutting import Subgraph, subgraph
from models.graph import Layer, LayerGraph, Parameter, Segment, Tensor
from models.loading import from_model, load
from models.network import Network
from models.session import Session, Uncut, uncut_session

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
