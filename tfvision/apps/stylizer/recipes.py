"""The one recipe of a stylizer, whose numbers are StylizerRecipe's own."""

from tfvision.trained.stylizer_run import StylizerRecipe

RECIPES = {"stylizer": StylizerRecipe}
