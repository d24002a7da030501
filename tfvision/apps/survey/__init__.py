"""`tfvision survey`: from a camera's card to a table of what was seen, when and where.

from tfvision.apps.survey.job import survey_card

told = survey_card("card", "runs/species", "survey")
"""
