"""Room the marketer's numbers: reads rollups only."""
