"""All objects of an image without prompts."""

from .distances import DistanceSettings, segment_distances
from .maps import distance_maps, measure_diameter, typical_diameter

__all__ = ["DistanceSettings", "distance_maps", "measure_diameter", "segment_distances", "typical_diameter"]
