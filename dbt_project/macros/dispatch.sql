{#- What DuckDB and Spark write differently; nothing else in the project may. -#}

{% macro days_between(first, last) -%}
    {{ return(adapter.dispatch('days_between', 'governance')(first, last)) }}
{%- endmacro %}

{% macro default__days_between(first, last) -%}
    datediff('day', {{ first }}, {{ last }})
{%- endmacro %}

{% macro spark__days_between(first, last) -%}
    datediff({{ last }}, {{ first }})
{%- endmacro %}

{#- A sum of fractions that does not depend on the order of its terms. -#}
{% macro exact_sum(expression) -%}
    cast(sum(cast({{ expression }} as decimal(38, 9))) as double)
{%- endmacro %}
