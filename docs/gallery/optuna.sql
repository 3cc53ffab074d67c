INSERT INTO studies (study_id, study_name) VALUES (1, 'tuning');
INSERT INTO trials (trial_id, number, study_id, state) SELECT n, n, 1, 'COMPLETE' FROM generate_series(1, 100) AS n;
INSERT INTO trial_params (param_id, trial_id, param_name, param_value, distribution_json)
  SELECT n, n, 'rate', n / 100.0, '{"name": "UniformDistribution", "attributes": {"low": 0.0, "high": 1.0}}' FROM generate_series(1, 100) AS n;
