-- Cost of each AI model. Charges that are not for one model stand under their meter.
SELECT
  COALESCE(x_Model, SkuMeter) AS model,
  PricingUnit AS unit,
  BillingCurrency AS currency,
  SUM(PricingQuantity) AS quantity,
  SUM(BilledCost) AS billed_cost
FROM `{tenant}_silver_cost.focus_costs`
WHERE ServiceCategory = 'AI and Machine Learning'
GROUP BY COALESCE(x_Model, SkuMeter), PricingUnit, BillingCurrency
ORDER BY billed_cost DESC, model, unit
