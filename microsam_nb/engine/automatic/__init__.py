"""All objects of an image without prompts."""

from .distances import DistanceSettings, distance_maps, measure_diameter, segment_distances, typical_diameter

__all__ = ["DistanceSettings", "distance_maps", "measure_diameter", "segment_distances", "typical_diameter"]
