"""Heavy reports as jobs: asked for in the reports process, made by a worker slice by slice, downloaded as CSV.

A room of its own below admin/, so that a fault in the reports' pages leaves the workers starting.
"""
